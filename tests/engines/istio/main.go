// Command istio asks Istio's own validation and its analyzers (what `istioctl analyze` runs) about manifests.
//
// Usage: istio FILE…   prints a line per refusal, warning and finding, then the counts; exits 1 if an object is refused
// or an analyzer reports an error. The files are analyzed together, as one cluster.
package main

import (
	"bytes"
	"fmt"
	"os"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/diag"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/resource"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/log"
)

func main() {
	// Istio's libraries log to stdout, where this program reports.
	options := log.DefaultOptions()
	options.SetDefaultOutputLevel(log.OverrideScopeName, log.NoneLevel)
	if err := log.Configure(options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	accepted, refused, warnings := 0, 0, 0
	var readers []local.ReaderSource
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		readers = append(readers, local.ReaderSource{Name: path, Reader: bytes.NewReader(text)})
		objects, _, err := crd.ParseInputs(string(text))
		if err != nil {
			refused++
			fmt.Printf("%s: refused: %v\n", path, err)
			continue
		}
		for _, object := range objects {
			name := object.GroupVersionKind.Kind + " " + object.Namespace + "/" + object.Name
			schema, known := collections.All.FindByGroupVersionAliasesKind(object.GroupVersionKind)
			if !known {
				refused++
				fmt.Printf("%s: %s: refused: unknown kind\n", path, name)
				continue
			}
			warning, err := schema.ValidateConfig(object)
			if err != nil {
				refused++
				fmt.Printf("%s: %s: refused: %v\n", path, name, err)
				continue
			}
			accepted++
			if warning != nil {
				warnings++
				fmt.Printf("%s: %s: warning: %v\n", path, name, warning)
			}
		}
	}
	errors, findings := analyze(readers)
	fmt.Printf("istio: %d accepted, %d refused, %d warnings; %d findings, %d of them errors\n",
		accepted, refused, warnings, findings, errors)
	if refused > 0 || errors > 0 {
		os.Exit(1)
	}
}

// analyze returns the numbers of errors and of warnings and errors together.
func analyze(readers []local.ReaderSource) (errors, findings int) {
	// No namespace means all of them.
	analyzer := local.NewSourceAnalyzer(analyzers.AllCombined(), resource.Namespace(""),
		resource.Namespace("istio-system"), nil)
	if err := analyzer.AddDefaultResources(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// With the runtime's kinds, so that the analyzers see the pods and Services of the inventory.
	if err := analyzer.AddTestReaderKubeSource(readers); err != nil {
		fmt.Printf("analyze: %v\n", err)
		errors++
	}
	result, err := analyzer.Analyze(make(chan struct{}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, message := range result.Messages {
		if message.Type.Level() == diag.Info {
			continue
		}
		findings++
		if message.Type.Level() == diag.Error {
			errors++
		}
		fmt.Printf("analyze: %s\n", message.String())
	}
	return errors, findings
}
