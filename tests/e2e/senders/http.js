// Node's own http module, told to talk to the proxy in absolute-form.
const http = require("http");
const proxy = new URL(process.env.HTTP_PROXY);
const url = new URL(process.argv[2]);
const body = require("fs").readFileSync(0);

const request = http.request({
  host: proxy.hostname,
  port: proxy.port,
  method: "POST",
  path: url.href,
  headers: {
    Host: url.host,
    "Content-Type": "application/json",
    "Content-Length": body.length,
    "X-Webhook-Id": "evt_42",
  },
});
request.on("response", (answer) => {
  let text = "";
  answer.on("data", (piece) => (text += piece));
  answer.on("end", () => console.log(answer.statusCode, text));
});
request.on("error", (error) => {
  console.log("error", error.message);
  process.exit(1);
});
request.end(body);
