// biome-ignore lint/suspicious/noExplicitAny: as served
type Body = any;

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

/** Each read that shows events or what is made of them, and how many events an answer of it shows. */
export interface Read {
  path(from: string, to: string): string;
  shown(body: Body): number;
  /** Read from the events only where the range begins or ends within a window. */
  edges?: true;
}
export const READS: Record<string, Read> = {
  windows: {
    path: (from, to) => `/v1/windows?from=${from}&to=${to}&limit=1000`,
    shown: ({ data }) => sum(data.map((w: Body) => w.aggregations.totalCalls)),
  },
  'windows of a customer': {
    path: (from, to) => `/v1/windows?from=${from}&to=${to}&limit=1000&customerId=customer-1`,
    shown: ({ data }) => sum(data.map((w: Body) => w.aggregations.totalCalls)),
  },
  'usage per 30 s': {
    path: (from, to) => `/v1/usage?granularity=30s&from=${from}&to=${to}`,
    shown: ({ data }) => sum(data.map((p: Body) => p.calls)),
    edges: true,
  },
  'usage per hour': {
    path: (from, to) => `/v1/usage?granularity=1h&from=${from}&to=${to}`,
    shown: ({ data }) => sum(data.map((p: Body) => p.calls)),
    edges: true,
  },
  'usage per day and endpoint': {
    path: (from, to) =>
      `/v1/usage?granularity=1d&groupBy=endpoint&timezone=Asia/Kolkata&from=${from}&to=${to}`,
    shown: ({ data }) => sum(data.map((p: Body) => p.calls)),
    edges: true,
  },
  'hourly summaries': {
    path: (from, to) => `/v1/summaries/hourly?from=${from}&to=${to}&limit=1000`,
    shown: ({ data }) => sum(data.map((s: Body) => s.totalEvents)),
  },
  'daily summaries of a customer': {
    path: (from, to) => `/v1/summaries/daily?from=${from}&to=${to}&customerId=customer-1`,
    shown: ({ data }) => sum(data.map((s: Body) => s.totalEvents)),
    edges: true,
  },
  events: {
    path: (from, to) => `/v1/events?from=${from}&to=${to}&limit=1000`,
    shown: ({ data }) => data.length,
  },
  records: {
    path: (from, to) => `/v1/records?from=${from}&to=${to}&limit=1000`,
    shown: ({ data }) => sum(data.map((group: Body) => group.count)),
  },
  'a session': {
    path: () => '/v1/sessions/order-1',
    shown: ({ events }) => events,
  },
};
