<?php
// Sends what stdin asks for (see asked.py) with PHP's curl; prints status and body.

$asked = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$all = $asked['fields'] + $asked['objects'];
$headers = ['Cookie: ' . $asked['cookie'], 'Expect:'];

// CURLOPT_POSTFIELDS takes no arrays within each other: members get names as http_build_query gives them.
function flat(array $values): array
{
    $fields = [];
    foreach (explode('&', http_build_query($values)) as $pair) {
        [$name, $value] = array_map('urldecode', explode('=', $pair, 2));
        $fields[$name] = $value;
    }
    return $fields;
}

if ($asked['form'] === 'json') {
    $body = json_encode($all, JSON_THROW_ON_ERROR);
    $headers[] = 'Content-Type: application/json';
} elseif ($asked['form'] === 'urlencoded') {
    $body = http_build_query($all);
} else {
    $body = flat($all);
    foreach ($asked['files'] as $file) {
        $body[$file['field']] = new CURLFile($file['path'], $file['type'], $file['name']);
    }
}

$curl = curl_init($asked['url']);
curl_setopt_array($curl, [
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => $body,
    CURLOPT_HTTPHEADER => $headers,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 60,
]);
$answer = curl_exec($curl);
if ($answer === false) {
    fwrite(STDERR, curl_error($curl));
    exit(1);
}
echo json_encode(['status' => curl_getinfo($curl, CURLINFO_RESPONSE_CODE), 'body' => json_decode($answer)]);
