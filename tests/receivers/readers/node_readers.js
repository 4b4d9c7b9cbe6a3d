// Readers that run on Node: nsyslog-parser (CEF and syslog headers) and JSON.parse.
//
// Reads a message a line from standard input and writes a JSON object a line: {"header": {…}, "extension": {…}} for CEF,
// {"hostname", "appname", "msgid", "message"} for syslog, the object itself for JSON; {"error": "…"} where a message is refused.
// The argument says what to read: cef, syslog or json.
"use strict";

const HEADER = "<134>1 2026-03-02T08:09:10.045Z h a - - - ";

function cef(line) {
  const read = require("nsyslog-parser")(HEADER + line);
  const c = read.cef;
  const header = {
    vendor: c.deviceVendor, product: c.deviceProduct, version: c.deviceVersion, class_id: c.deviceEventClassID,
    name: c.name, severity: c.severity,
  };
  return { header, extension: read.fields };
}

function syslog(line) {
  const read = require("nsyslog-parser")(line);
  return { hostname: read.host, appname: read.appName, msgid: read.messageid, message: read.message };
}

const reader = { cef, syslog, json: JSON.parse }[process.argv[2]];
const lines = require("fs").readFileSync(0, "utf8").split("\n").slice(0, -1);
for (const line of lines) {
  let answer;
  try {
    answer = reader(line);
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
