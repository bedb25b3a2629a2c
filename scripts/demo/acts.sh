#!/usr/bin/env bash
# acts.sh: the demo itself, inside the namespaces that scripts/demo.sh made. $EGRET is the program.
set -euo pipefail
: "${EGRET:?run scripts/demo.sh}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

public=203.0.114.10     # plays a customer's endpoint
private=10.0.0.7        # plays a server of ours
metadata=169.254.169.254
partner=203.0.114.11    # plays a partner that verifies signatures
moved=203.0.114.12      # plays the partner's old place, which redirects

scratch=$(mktemp -d)
clean_up() {
  jobs -p | xargs -r kill 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT

ip link set lo up
for address in $public $private $metadata $partner $moved; do ip address add "$address/32" dev lo; done
echo "nameserver 127.0.0.1" >"$scratch/resolv.conf"
mount --bind "$scratch/resolv.conf" /etc/resolv.conf

python3 scripts/demo/receiver.py $public:80 $private:80 $metadata:80 >"$scratch/receiver" 2>&1 &
python3 scripts/demo/names.py 127.0.0.1 \
  hooks.customer.example=$public \
  intranet.attacker.example=$private \
  rebind.attacker.example=$public,$private \
  mixed.attacker.example=$public+$private \
  hooks.partner.example=$partner \
  old.partner.example=$moved >"$scratch/names" 2>&1 &

# Without -c: the built-in defaults.
"$EGRET" run >"$scratch/egret" 2>"$scratch/egret.err" &
egret=$!
for _ in $(seq 100); do
  if grep -q ready "$scratch/receiver" && (: </dev/tcp/127.0.0.1/4750) 2>/dev/null; then break; fi
  if ! kill -0 $egret 2>/dev/null; then break; fi
  sleep 0.1
done
if ! (: </dev/tcp/127.0.0.1/4750) 2>/dev/null; then
  echo "acts.sh: Egret does not listen on 127.0.0.1:4750" >&2
  cat "$scratch/egret.err" "$scratch/egret" >&2
  exit 1
fi

unset http_proxy https_proxy no_proxy HTTPS_PROXY NO_PROXY ALL_PROXY all_proxy
export HTTP_PROXY=http://127.0.0.1:4750

failed=0
webhooks=0
log_of=egret
: >"$scratch/partner"
: >"$scratch/moved"
count() { grep -c "$1" "$scratch/receiver" || true; }
lines() { wc -l <"$scratch/$1"; }
bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
act() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
told() { tail -n +$(($2 + 1)) "$scratch/$1" | sed "s/^/  $(printf %-9s "$3") │ /"; }

# What `egret receive` said since line $2, without what every request has.
received() {
  tail -n +$(($2 + 1)) "$scratch/$1" | grep -E '^[0-9:]{8} |^  (webhook-|body|signature|answered)' |
    cut -c1-150 | sed "s|$scratch/||; s/^/  receiver  │ /" || true
}

# send URL STATUS [full]: one unmodified sender. STATUS is what it must see, so that the demo is a test
# too; `full` shows every member of a refusal.
send() {
  local names receiver log answer partner_lines moved_lines
  names=$(lines names) receiver=$(lines receiver) log=$(lines $log_of) partner_lines=$(lines partner) moved_lines=$(lines moved)
  answer=$(python3 examples/six-line-sender.py "$1" 2>&1 | tail -n 20)
  for _ in $(seq 30); do  # the log is written by another thread
    if [ "$(lines $log_of)" -gt "$log" ]; then break; fi
    sleep 0.1
  done
  sleep 0.2
  echo "  \$ HTTP_PROXY=$HTTP_PROXY python3 six-line-sender.py $1"
  told names "$names" dns
  told receiver "$receiver" receiver
  received moved "$moved_lines"
  received partner "$partner_lines"
  python3 scripts/demo/show.py answer "${3:-short}" <<<"$answer"
  python3 scripts/demo/show.py log "$scratch/$log_of" "$log"
  if [ "${answer%% *}" != "$2" ]; then
    echo "  ! the sender should have seen $2"
    failed=1
  fi
}

act "A sender of six lines, in python3-requests. It knows nothing of Egret; HTTP_PROXY is all there is."
sed 's/^/  /' examples/six-line-sender.py

act "1. Its webhook goes through to a public address"
send http://hooks.customer.example/billing 200
webhooks=$((webhooks + 1))

act "2. The cloud's metadata service: refused, and the answer says why and what to change"
send http://$metadata/latest/meta-data/iam/ 403 full

act "3. A customer's host name that leads into our own network: refused"
send http://intranet.attacker.example/admin 403

act "4. A name with a public and a private address: refused whole, not by luck of the draw"
send http://mixed.attacker.example/hook 403

act "5. DNS rebinding. The name is public when it is checked: Egret dials the very address that it checked, after one question"
send http://rebind.attacker.example/hook 200
webhooks=$((webhooks + 1))
sleep 1.2  # resolver.cache.min_ttl is 1s
echo "   … and private a second later:"
send http://rebind.attacker.example/hook 403

act "6. A receiver that answers with a redirect to the metadata service. Egret passes it on; the sender's library follows, into Egret"
send http://hooks.customer.example/moved 403
webhooks=$((webhooks + 1))

act "7. Ask before you send: IPv4 inside IPv6 is judged by the IPv4"
echo "  \$ egret explain http://[64:ff9b::a9fe:a9fe]/"
status=0
"$EGRET" explain 'http://[64:ff9b::a9fe:a9fe]/' >"$scratch/explain" || status=$?
fold -s -w 130 "$scratch/explain" | sed 's/^/  /'
if [ $status -ne 3 ]; then
  echo "  ! explain should have exited with 3, not $status"
  failed=1
fi

act "8. Now with a configuration: the same six lines leave signed, and are tried again. The partner is \`egret receive\`, which verifies"
cd_secret="$scratch/partner.whsec"
"$EGRET" keygen standard-webhooks -o "$cd_secret" >"$scratch/keygen"
cat >"$scratch/egret.yaml" <<YAML
listeners: [{address: 127.0.0.1:4760}]
admin: {address: 127.0.0.1:4761}
keys:
  partner: {scheme: standard-webhooks, secrets: [{file: $cd_secret}]}
defaults:
  sign: [partner]
  retry: {attempts: 3, on: [connect, 503]}
rules:
  - name: movers
    match: {hosts: [old.partner.example]}
    redirects: {follow: any}
YAML
sed "s|$scratch|/etc/egret|; s/^/  /" "$scratch/egret.yaml"
"$EGRET" run -c "$scratch/egret.yaml" >"$scratch/second" 2>"$scratch/second.err" &
second=$!
"$EGRET" receive --address $partner --port 80 --key "$cd_secret" --fail 2 >"$scratch/partner" 2>&1 &
"$EGRET" receive --address $moved --port 80 --key "$cd_secret" --redirect http://hooks.partner.example/new >"$scratch/moved" 2>&1 &
for _ in $(seq 100); do
  if (: </dev/tcp/127.0.0.1/4760) 2>/dev/null && grep -q receiving "$scratch/partner" "$scratch/moved"; then break; fi
  sleep 0.1
done
HTTP_PROXY=http://127.0.0.1:4760
log_of=second
echo
echo "  It fails twice and then takes it: one call for the sender, three requests under one id, each with a signature of its own"
send http://hooks.partner.example/billing 200
verified() { grep -c 'signature  VERIFIED' "$scratch/$1" || true; }
if [ "$(verified partner)" -ne 3 ] || [ "$(grep -o 'webhook-id: .*' "$scratch/partner" | sort -u | wc -l)" -ne 1 ]; then
  echo "  ! three requests with one id should have verified"
  failed=1
fi

act "9. A partner that has moved: 307 to another host, followed because the rule says so, and signed anew for it"
send http://old.partner.example/billing 200
if [ "$(verified partner)" -ne 4 ] || [ "$(verified moved)" -ne 1 ]; then
  echo "  ! the signature should have verified at both places"
  failed=1
fi

act "10. The same rule, and a redirect to the metadata service: each hop is judged, and this one refused"
"$EGRET" receive --address $moved --port 8000 --redirect http://$metadata/latest/meta-data/iam/ >"$scratch/evil" 2>&1 &
sed -i 's/^defaults:/defaults:\n  ports: [80, 8000]/' "$scratch/egret.yaml"
kill -HUP $second
for _ in $(seq 100); do
  if grep -q reloaded "$scratch/second.err"; then break; fi
  sleep 0.1
done
send http://old.partner.example:8000/billing 403

kill -TERM $second
wait $second || failed=1
HTTP_PROXY=http://127.0.0.1:4750

act "The first line of the access log in full"
grep -m 1 '"verdict"' "$scratch/egret" | sed 's/^/  /' || failed=1

kill -TERM $egret
status=0
wait $egret || status=$?
if [ $status -ne 0 ]; then
  echo "  ! Egret ended with $status"
  cat "$scratch/egret.err"
  failed=1
fi

act "The customer's endpoint got $(count ^webhook) webhooks. The private servers got $(count ^BREACH) requests."
if [ "$(count ^webhook)" -ne $webhooks ] || [ "$(count ^BREACH)" -ne 0 ]; then failed=1; fi
if [ $failed -ne 0 ]; then
  echo "demo.sh: FAILED: not what was to be shown"
  exit 1
fi
echo "Nothing is left running."
