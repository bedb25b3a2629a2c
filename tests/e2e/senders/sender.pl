# Perl's LWP with its proxy from the environment.
use strict;
use warnings;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(timeout => 20);
$agent->env_proxy;
local $/;
my $answer = $agent->post($ARGV[0], 'Content-Type' => 'application/json', 'X-Webhook-Id' => 'evt_42', Content => scalar <STDIN>);
print $answer->code, ' ', $answer->content, "\n";
