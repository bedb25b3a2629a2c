// java.net.http as an application uses it; Java reads no HTTPS_PROXY, so the proxy is told as its users do.
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Sender {
  public static void main(String[] arguments) throws Exception {
    URI proxy = URI.create(System.getenv("HTTPS_PROXY"));
    HttpClient client = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
        .build();
    HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
        .header("Content-Type", "application/json")
        .header("X-Webhook-Id", "evt_42")
        .POST(HttpRequest.BodyPublishers.ofByteArray(System.in.readAllBytes()))
        .build();
    HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(answer.statusCode() + " " + answer.body());
  }
}
