// Verifies requests with the libraries that receivers use. One JSON array of cases on stdin, one array of results on
// stdout: "ok", or why the library refuses. A case: {library, key, method, url, headers, body (base64), shift, algorithm};
// `shift` moves this machine's clock by so many seconds, as the library sees it.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const { Webhook: StandardWebhook } = require('standardwebhooks');
const { Webhook: SvixWebhook } = require('svix');
const Stripe = require('stripe');
const { httpbis, createVerifier } = require('http-message-signatures');

const RealDate = Date;
function shiftedClock(seconds) {
  return class extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(RealDate.now() + seconds * 1000);
      else super(...given);
    }
    static now() { return RealDate.now() + seconds * 1000; }
  };
}

function digestMatches(body, header) {
  const expected = crypto.createHash('sha256').update(body).digest('base64');
  return header === `sha-256=:${expected}:`;
}

const libraries = {
  standardwebhooks: ({ key, body, headers }) => new StandardWebhook(key).verify(body.toString(), headers),
  svix: ({ key, body, headers }) => new SvixWebhook(key).verify(body.toString(), headers),
  stripe: ({ key, body, headers }) =>
    Stripe('sk_test_none').webhooks.constructEvent(body, headers['stripe-signature'], key, 300),
  octokit: async ({ key, body, headers }) => {
    const { verify } = await import('@octokit/webhooks-methods');
    if (!(await verify(key, body.toString(), headers['x-hub-signature-256']))) throw new Error('does not verify');
  },
  'http-message-signatures': async ({ key, algorithm, method, url, body, headers }) => {
    const secret = algorithm === 'hmac-sha256' ? Buffer.from(key, 'base64') : crypto.createPublicKey(key);
    const verified = await httpbis.verifyMessage({
      async keyLookup(parameters) {
        return { id: parameters.keyid, algs: [algorithm], verify: createVerifier(secret, algorithm) };
      },
      maxAge: 300,
      requiredParams: ['created', 'keyid', 'alg'],
      requiredFields: ['@method', '@target-uri', 'content-digest', 'webhook-id'],
    }, { method, url, headers });
    if (verified !== true) throw new Error('does not verify');
    if (!digestMatches(body, headers['content-digest'])) throw new Error('the digest is another body\'s');
  },
  // As Shopify and Slack document it: their libraries are whole frameworks.
  shopify: ({ key, body, headers }) => {
    const expected = crypto.createHmac('sha256', key).update(body).digest();
    const given = Buffer.from(headers['x-shopify-hmac-sha256'], 'base64');
    if (given.length !== expected.length || !crypto.timingSafeEqual(given, expected)) throw new Error('does not verify');
  },
  slack: ({ key, body, headers }) => {
    const time = headers['x-slack-request-timestamp'];
    if (Math.abs(Date.now() / 1000 - Number(time)) > 300) throw new Error('too old');
    const expected = 'v0=' + crypto.createHmac('sha256', key).update(`v0:${time}:`).update(body).digest('hex');
    const given = headers['x-slack-signature'];
    if (given.length !== expected.length || !crypto.timingSafeEqual(Buffer.from(given), Buffer.from(expected))) {
      throw new Error('does not verify');
    }
  },
};

async function main() {
  const cases = JSON.parse(fs.readFileSync(0, 'utf8'));
  const results = [];
  for (const each of cases) {
    each.body = Buffer.from(each.body, 'base64');
    globalThis.Date = shiftedClock(each.shift || 0);
    try {
      await libraries[each.library](each);
      results.push('ok');
    } catch (error) {
      results.push(`${error.name}: ${error.message}`.split('\n')[0]);
    } finally {
      globalThis.Date = RealDate;
    }
  }
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
