// Imports a trace with Perfetto's own trace processor, as its UI does, and answers SQL.
//   node query.js ENGINE_BUNDLE_FOLDER TRACE SQL…   prints one JSON array of rows a query
// The engine is a worker script: `self`, `fetch` and a message port are what it needs of a browser. What goes over the
// port is protos/perfetto/trace_processor/trace_processor.proto: a stream of TraceProcessorRpc.
'use strict';
const fs = require('fs');
const path = require('path');

const APPEND = 1, FINALIZE = 2, QUERY = 3;
const CELL_NULL = 1, CELL_VARINT = 2, CELL_FLOAT64 = 3, CELL_STRING = 4;

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, data) => Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);

/** All [field, value] of a message; a value is a BigInt, or a Buffer for fields with a length or 8 bytes. */
function fields(data) {
  const found = [];
  let at = 0;
  const next = () => {
    let value = 0n, shift = 0n, byte;
    do {
      byte = data[at++];
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
    } while (byte & 128);
    return value;
  };
  while (at < data.length) {
    const key = Number(next());
    let value;
    if ((key & 7) === 0) {
      value = next();
    } else {
      const length = (key & 7) === 1 ? 8 : Number(next());
      value = data.subarray(at, at + length);
      at += length;
    }
    found.push([key >>> 3, value]);
  }
  return found;
}

function packedVarints(data) {
  const found = [];
  for (let at = 0; at < data.length;) {
    let value = 0n, shift = 0n, byte;
    do {
      byte = data[at++];
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
    } while (byte & 128);
    found.push(Number(BigInt.asIntN(64, value)));
  }
  return found;
}

/** Collects the batches of QueryResult messages into rows. */
class Result {
  columns = 0;
  cells = [];
  add(message) {
    for (const [field, value] of fields(message)) {
      if (field === 1) this.columns++;
      if (field === 2 && value.length) throw new Error(value.toString());
      if (field === 3) this.batch(fields(value));
    }
  }
  batch(parts) {
    const all = (field) => Buffer.concat(parts.filter((part) => part[0] === field).map((part) => part[1]));
    const ints = packedVarints(all(2));
    const floats = all(3);
    const strings = all(5).toString().split('\0');
    let int = 0, float = 0, string = 0;
    for (const kind of all(1)) {
      if (kind === CELL_NULL) this.cells.push(null);
      else if (kind === CELL_VARINT) this.cells.push(ints[int++]);
      else if (kind === CELL_FLOAT64) this.cells.push(floats.readDoubleLE(8 * float++));
      else if (kind === CELL_STRING) this.cells.push(strings[string++]);
      else throw new Error(`cell of kind ${kind}`);
    }
  }
  rows() {
    const rows = [];
    for (let at = 0; at < this.cells.length; at += this.columns) rows.push(this.cells.slice(at, at + this.columns));
    return rows;
  }
}

/** Starts the engine; resolves to a function from one request to its replies, each a list of fields. */
async function start(folder) {
  class XMLHttpRequest {
    open(method, name) {
      this.response = new Uint8Array(fs.readFileSync(path.join(folder, path.basename(name)))).buffer;
    }
    send() {}
  }
  const worker = {location: {href: ''}};
  const quiet = {log() {}, warn() {}, error: console.error};
  const source = fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8');
  // Without `process` it takes itself for a worker of a browser.
  const names = {self: worker, XMLHttpRequest, console: quiet, process: undefined, WorkerGlobalScope: Object, importScripts() {}};
  new Function(...Object.keys(names), source)(...Object.values(names));
  const {port1, port2} = new MessageChannel();
  worker.onmessage({data: port2});
  return port1;
}
module.exports={start};
if (require.main===module) (async()=>{
  const port = await start(process.argv[2]);
  let seq=0n; const waiting=[];
  let buffer = Buffer.alloc(0);
  port.onmessage = (event) => {
    for (const [, rpc] of fields(Buffer.from(event.data))) waiting[0](fields(rpc));
  };
  // The engine gets ready in the background and says nothing of it.
  await new Promise(r=>setImmediate(r));
  const request = (...parts) => new Promise((resolve, reject) => {
    const result = new Result();
    waiting[0] = (reply) => {
      const at = Object.fromEntries(reply);
      if (at[5]) return reject(new Error(at[5].toString()));
      if (at[203]) { result.add(at[203]); if (!fields(at[203]).some(([f,v])=>f===3 && fields(v).some(([g,x])=>g===6 && x))) { if(!fields(at[203]).some(([f])=>f===2)) return; } }
      resolve([at, result]);
    };
    const message = Buffer.concat([number(1, ++seq), ...parts]);
    port.postMessage(new Uint8Array(bytes(1, message)));
  });
  const t0=performance.now();
  const data = fs.readFileSync(process.argv[3]);
  for (let at = 0; at < data.length; at += 1<<20) await request(number(2, APPEND), bytes(101, data.subarray(at, at+(1<<20))));
  await request(number(2, FINALIZE));
  console.error('import', performance.now()-t0);
  for (const sql of process.argv.slice(4)) {
    const [, result] = await request(number(2, QUERY), bytes(103, bytes(1, Buffer.from(sql))));
    console.log(JSON.stringify(result.rows()));
  }
  process.exit(0);
})();
