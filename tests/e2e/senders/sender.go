// Go's net/http with its default transport.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	request, err := http.NewRequest("POST", os.Args[1], os.Stdin)
	if err == nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Webhook-Id", "evt_42")
		var answer *http.Response
		answer, err = http.DefaultClient.Do(request)
		if err == nil {
			body, _ := io.ReadAll(answer.Body)
			fmt.Println(answer.StatusCode, string(body))
			return
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}
