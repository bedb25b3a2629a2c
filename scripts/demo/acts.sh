#!/usr/bin/env bash
# acts.sh: the demo itself, inside the namespaces that scripts/demo.sh made. $EGRET is the program.
set -euo pipefail
: "${EGRET:?run scripts/demo.sh}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

public=203.0.114.10     # plays a customer's endpoint
private=10.0.0.7        # plays a server of ours
metadata=169.254.169.254

scratch=$(mktemp -d)
clean_up() {
  jobs -p | xargs -r kill 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT

ip link set lo up
for address in $public $private $metadata; do ip address add "$address/32" dev lo; done
echo "nameserver 127.0.0.1" >"$scratch/resolv.conf"
mount --bind "$scratch/resolv.conf" /etc/resolv.conf

python3 scripts/demo/receiver.py $public:80 $private:80 $metadata:80 >"$scratch/receiver" 2>&1 &
python3 scripts/demo/names.py 127.0.0.1 \
  hooks.customer.example=$public \
  intranet.attacker.example=$private \
  rebind.attacker.example=$public,$private \
  mixed.attacker.example=$public+$private >"$scratch/names" 2>&1 &

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
count() { grep -c "$1" "$scratch/receiver" || true; }
lines() { wc -l <"$scratch/$1"; }
bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
act() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
told() { tail -n +$(($2 + 1)) "$scratch/$1" | sed "s/^/  $(printf %-9s "$3") │ /"; }

# send URL STATUS [full]: one unmodified sender. STATUS is what it must see, so that the demo is a test
# too; `full` shows every member of a refusal.
send() {
  local names receiver log answer
  names=$(lines names) receiver=$(lines receiver) log=$(lines egret)
  answer=$(python3 examples/six-line-sender.py "$1" 2>&1 | tail -n 20)
  for _ in $(seq 30); do  # the log is written by another thread
    if [ "$(lines egret)" -gt "$log" ]; then break; fi
    sleep 0.1
  done
  sleep 0.2
  echo "  \$ HTTP_PROXY=$HTTP_PROXY python3 six-line-sender.py $1"
  told names "$names" dns
  told receiver "$receiver" receiver
  python3 scripts/demo/show.py answer "${3:-short}" <<<"$answer"
  python3 scripts/demo/show.py log "$scratch/egret" "$log"
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
