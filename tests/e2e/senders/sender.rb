# Ruby's Net::HTTP, which reads http_proxy by itself.
require "net/http"

uri = URI(ARGV[0])
answer = Net::HTTP.post(uri, $stdin.read, "Content-Type" => "application/json", "X-Webhook-Id" => "evt_42")
puts "#{answer.code} #{answer.body}"
