// A whole session with node-sip2 (ISC), fetched by hand: node session_node.js FOLDER_OF_NODE_SIP2. JSON in, one line of JSON out.
"use strict";

const SIP2 = require(require("path").resolve(process.argv[2]));

let input = "";
process.stdin.on("data", (chunk) => { input += chunk; });
process.stdin.on("end", () => main(JSON.parse(input)).catch((error) => { console.error(error); process.exit(1); }));

async function main(given) {
  const connection = new SIP2.Connection(given.host, given.port);
  await new Promise((done) => connection.connect(done));
  let sequence = 0;
  const ask = (request) => new Promise((done, fail) => {
    request.institutionId = given.institution;
    request.patronIdentifier = given.reader_no;
    request.patronPassword = given.pin;
    request.sequence = sequence++ % 10;
    connection.send(request.getMessage(), (error, answer) => (error ? fail(error) : done(answer)));
  });
  const found = {};
  found.login = (await ask(new SIP2.LoginRequest(given.user, given.password, "hall"))).ok;
  found.status = await ask(new SIP2.SCStatusRequest());
  found.information = await ask(new SIP2.PatronInformationRequest("charged", 1, 5));
  found.item = await ask(new SIP2.ItemInformationRequest(given.item_no));
  found.checkout = await ask(new SIP2.CheckoutRequest(false, " ".repeat(18), given.item_no));
  found.charged = await ask(new SIP2.PatronInformationRequest("charged", 1, 5));
  found.checkin = await ask(new SIP2.CheckinRequest(null, "hall", given.item_no));
  found.end = await ask(new SIP2.EndPatronSessionRequest(given.institution, given.reader_no, "", given.pin));
  connection.close();
  console.log(JSON.stringify(found));
}
