// undici with a ProxyAgent: tunnels plain HTTP through CONNECT.
const { ProxyAgent, request } = require("undici");

async function main() {
  const body = require("fs").readFileSync(0);
  const answer = await request(process.argv[2], {
    dispatcher: new ProxyAgent(process.env.HTTP_PROXY),
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Webhook-Id": "evt_42" },
    body,
  });
  console.log(answer.statusCode, await answer.body.text());
  process.exit(0);
}

main().catch((error) => {
  console.log("error", error.message, error.cause ? error.cause.message : "");
  process.exit(1);
});
