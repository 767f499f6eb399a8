import { Hono } from 'hono';
import { listenInChild } from './listenInChild.ts';

/* (b) What HTTP and JSON alone cost: parses the body, answers as Tidemark would. */

const app = new Hono();
app.post('/v1/events', async (c) => {
  const body = await c.req.json();
  return c.json({ accepted: Array.isArray(body) ? body.length : 1, duplicates: 0 });
});

listenInChild(app);
