import sys
import requests

event = {"type": "invoice.paid", "id": "evt_42"}
answer = requests.post(sys.argv[1], json=event, timeout=30)
print(answer.status_code, answer.text)
