// Imports traces with Perfetto's own trace processor, as its UI does, and answers SQL.
//   node trace_processor.js UI_FOLDER
// reads a line a trace, {"trace": PATH, "queries": [SQL…]}, and prints one for it: {"answers": [rows of each query]} or
// {"error": message}. UI_FOLDER holds engine_bundle.js and the wasm it asks for, which takes seconds to compile.
//
// The engine is a worker's script. Over its message port go TraceProcessorRpcStream messages, as stated in
// protos/perfetto/trace_processor/trace_processor.proto of https://github.com/google/perfetto; the numbers below are
// that file's. Its answers come in order, one message or more a request.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");

const APPEND_TRACE_DATA = 1;
const FINALIZE_TRACE_DATA = 2;
const QUERY_STREAMING = 3;
const RESET_TRACE_PROCESSOR = 11;
const CELL_NULL = 1;
const CELL_VARINT = 2;
const CELL_FLOAT64 = 3;
const CELL_STRING = 4;
const CHUNK = 1 << 20;

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, data) => Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  get more() {
    return this.at < this.data.length;
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.data[this.at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  bytes(length) {
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }
}

/** All [field, value] of a message; a value is a BigInt, or a Buffer where the field has a length or 8 bytes. */
function fields(data) {
  const reader = new Reader(data);
  const found = [];
  while (reader.more) {
    const key = Number(reader.varint());
    const type = key & 7;
    found.push([key >>> 3, type === 0 ? reader.varint() : reader.bytes(type === 1 ? 8 : Number(reader.varint()))]);
  }
  return found;
}

const one = (message, field) => message.find(([other]) => other === field)?.[1];
const all = (message, field) => message.filter(([other]) => other === field).map(([, value]) => value);

/** Cells of one QueryResult.CellsBatch. */
function* cells(batch) {
  const ints = new Reader(Buffer.concat(all(batch, 2)));
  const floats = Buffer.concat(all(batch, 3));
  const strings = Buffer.concat(all(batch, 5)).toString().split("\0");
  let float = 0;
  let string = 0;
  for (const kind of Buffer.concat(all(batch, 1))) {
    if (kind === CELL_NULL) yield null;
    else if (kind === CELL_VARINT) yield Number(BigInt.asIntN(64, ints.varint()));
    else if (kind === CELL_FLOAT64) yield floats.readDoubleLE(8 * float++);
    else if (kind === CELL_STRING) yield strings[string++];
    else throw new Error(`a cell of kind ${kind} is not expected here`);
  }
}

/** The engine's end of the message channel; `answer` is called with every message that it sends. */
function start(folder, answer) {
  class XMLHttpRequest {
    open(_method, name) {
      this.response = new Uint8Array(fs.readFileSync(path.join(folder, path.basename(name)))).buffer;
    }

    send() {}
  }
  const self = {location: {href: ""}};
  const silent = {log() {}, warn() {}, error: console.error};
  // Without `process` the script takes itself for a browser's worker.
  const names = {self, XMLHttpRequest, console: silent, process: undefined, WorkerGlobalScope: Object};
  const source = fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8");
  new Function(...Object.keys(names), source)(...Object.values(names));
  const {port1, port2} = new MessageChannel();
  self.onmessage({data: port2});
  port1.onmessage = (event) => fields(Buffer.from(event.data)).forEach(([, message]) => answer(fields(message)));
  return port1;
}

class TraceProcessor {
  constructor(folder) {
    this.port = start(folder, (message) => this.answer(message));
    this.sequence = 0;
  }

  request(method, ...parts) {
    const message = Buffer.concat([number(1, ++this.sequence), number(2, method), ...parts]);
    return new Promise((resolve, reject) => {
      this.answer = (reply) => {
        const error = one(reply, 5) ?? one(fields(one(reply, 201) ?? Buffer.alloc(0)), 2);
        if (error?.length) reject(new Error(error.toString()));
        else this.receive(reply, resolve, reject);
      };
      this.port.postMessage(new Uint8Array(bytes(1, message)));
    });
  }

  receive(reply, resolve, reject) {
    const part = one(reply, 203);
    if (part === undefined) return resolve();
    const result = fields(part);
    const error = one(result, 2);
    if (error?.length) return reject(new Error(error.toString()));
    this.columns += all(result, 1).length;
    const batches = all(result, 3).map(fields);
    for (const batch of batches) this.cells.push(...cells(batch));
    return batches.some((batch) => one(batch, 6)) ? resolve() : undefined;
  }

  async load(data) {
    await this.request(RESET_TRACE_PROCESSOR);
    for (let at = 0; at < data.length; at += CHUNK) {
      await this.request(APPEND_TRACE_DATA, bytes(101, data.subarray(at, at + CHUNK)));
    }
    await this.request(FINALIZE_TRACE_DATA);
  }

  async query(sql) {
    this.columns = 0;
    this.cells = [];
    await this.request(QUERY_STREAMING, bytes(103, bytes(1, Buffer.from(sql))));
    const rows = [];
    for (let at = 0; at < this.cells.length; at += this.columns) rows.push(this.cells.slice(at, at + this.columns));
    return rows;
  }
}

async function answer(processor, {trace, queries}) {
  await processor.load(fs.readFileSync(trace));
  const answers = [];
  for (const sql of queries) answers.push(await processor.query(sql));
  return {answers};
}

async function main(folder) {
  const processor = new TraceProcessor(folder);
  // The wasm is there once the script's own promises have settled.
  await new Promise(setImmediate);
  for await (const line of readline.createInterface({input: process.stdin})) {
    const reply = await answer(processor, JSON.parse(line)).catch((error) => ({error: error.message}));
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

main(process.argv[2]).then(() => process.exit(0));
