import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
const key=readFileSync('/tmp/cevents-dev/key','utf8'), AXE=readFileSync('node_modules/axe-core/axe.min.js','utf8');
const b=await chromium.launch({executablePath:'/usr/bin/chromium',args:['--no-sandbox','--disable-dev-shm-usage','--disable-gpu']});
for (const arg of process.argv.slice(2)) for (const scheme of ['light','dark']) {
 const [name,path,script='']=arg.split('|');
 const c=await b.newContext({viewport:{width:1280,height:900},colorScheme:scheme,timezoneId:'UTC'});
 const p=await c.newPage(); p.on('console',m=>console.log(name,m.type(),m.text())); p.on('pageerror',e=>console.log(name,'ERR',e.message));
 await p.addInitScript(k=>sessionStorage.setItem('tidemark.key',k),key);
 await p.goto('http://localhost:8391'+path); await p.waitForTimeout(2500);
 if(script) await eval(`(async()=>{${script}})()`);
 await p.evaluate(AXE);
 const v=await p.evaluate(async()=>(await axe.run({runOnly:{type:'tag',values:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}})).violations.map(v=>v.id+': '+v.nodes.map(n=>n.html.slice(0,160)).join(' | ')));
 await p.setViewportSize({width:380,height:900});
 const over=await p.evaluate(()=>document.documentElement.scrollWidth-document.documentElement.clientWidth);
 console.log(name,scheme,v,over); await c.close();
}
await b.close();
