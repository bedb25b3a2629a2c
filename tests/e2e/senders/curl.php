<?php
// php-curl; the second argument "tunnel" makes it use CONNECT for plain HTTP.
$curl = curl_init($argv[1]);
curl_setopt_array($curl, [
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => stream_get_contents(STDIN),
    CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'X-Webhook-Id: evt_42'],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPPROXYTUNNEL => ($argv[2] ?? '') === 'tunnel',
]);
$body = curl_exec($curl);
if ($body === false) {
    echo 'error ', curl_error($curl), "\n";
    exit(1);
}
echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE), ' ', $body, "\n";
