<?php
// PHP's own streams with the proxy of their context.
$proxy = parse_url(getenv('HTTP_PROXY'));
$context = stream_context_create(['http' => [
    'proxy' => "tcp://{$proxy['host']}:{$proxy['port']}",
    'request_fulluri' => true,
    'method' => 'POST',
    'header' => "Content-Type: application/json\r\nX-Webhook-Id: evt_42\r\n",
    'content' => stream_get_contents(STDIN),
    'ignore_errors' => true,
]]);
$body = file_get_contents($argv[1], false, $context);
echo explode(' ', $http_response_header[0] ?? 'none none')[1], ' ', $body, "\n";
