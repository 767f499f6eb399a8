import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
const key=readFileSync('/tmp/cevents-dev/key','utf8');
const b=await chromium.launch({executablePath:'/usr/bin/chromium',args:['--no-sandbox','--disable-dev-shm-usage','--disable-gpu']});
for (const arg of process.argv.slice(2)){
 const [name,path,width='1280',scheme='light',script='']=arg.split('|');
 const c=await b.newContext({viewport:{width:+width,height:900},colorScheme:scheme,timezoneId:'Europe/Berlin'});
 const p=await c.newPage(); p.on('console',m=>console.log(name,m.type(),m.text())); p.on('pageerror',e=>console.log(name,'ERR',e.message));
 await p.addInitScript(k=>sessionStorage.setItem('tidemark.key',k),key);
 await p.goto('http://localhost:8391'+path); await p.waitForTimeout(2500);
 if(script) await eval(`(async()=>{${script}})()`);
 await p.screenshot({path:`/tmp/cevents-dev/${name}.png`,fullPage:true}); console.log(name,p.url()); await c.close();
}
await b.close();
