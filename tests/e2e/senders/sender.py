"""python3-requests. HTTP_PROXY comes from the environment, like everything a sender is told here:
argv: URL; stdin: the body. Prints the status and the body of the answer."""
import sys

import requests

answer = requests.post(sys.argv[1], data=sys.stdin.buffer.read(), timeout=20,
                       headers={"Content-Type": "application/json", "X-Webhook-Id": "evt_42"})
print(answer.status_code, answer.text)
