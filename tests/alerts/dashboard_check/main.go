// Reads a dashboard from its standard input as strictly as Grafana's own types allow, and prints what does not fit them.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var board dashboard.Dashboard
	for _, err := range []error{board.UnmarshalJSONStrict(raw), board.Validate()} {
		// They return a list of errors that may be empty, which is no nil.
		if err != nil && err.Error() != "" {
			fmt.Println(err)
		}
	}
}
