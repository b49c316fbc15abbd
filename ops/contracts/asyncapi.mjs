// Does an independent parser take the document for AsyncAPI 3? Errors and warnings are findings.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const [path] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), { source: path });
// 0: error, 1: warning; the rest is advice.
const findings = diagnostics.filter(({ severity }) => severity <= 1);
for (const { path: where, message } of findings) console.error(`${where.join(".")}: ${message}`);
if (findings.length > 0 || !document) process.exit(1);
console.log(`${path}: AsyncAPI ${document.version()}, ${document.channels().all().length} channels`);
