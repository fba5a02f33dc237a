// A host of an evaluator module, with wazero: docs/wasm-abi.md is all that it knows.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

type description struct {
	Rules []struct {
		Path string
		Line int
	}
	Grants []struct{ Reason string }
}

type policy struct {
	ctx    context.Context
	module api.Module
	told   description
}

// Calls an export; an error's number is an error.
func (p *policy) call(name string, numbers ...uint64) (int32, error) {
	results, err := p.module.ExportedFunction(name).Call(p.ctx, numbers...)
	if err != nil {
		return 0, err
	}
	if number := int32(results[0]); number < 0 {
		return 0, fmt.Errorf("error %d", number)
	}
	return int32(results[0]), nil
}

// Hands a value over as JSON: to intern, intern_request or decide_text.
func (p *policy) hand(name string, value any) int32 {
	text := must(json.Marshal(value))
	at := must(p.call("buffer", uint64(len(text))))
	p.module.Memory().Write(uint32(at), text)
	return must(p.call(name, uint64(at), uint64(len(text))))
}

// Says what decided the last flow at each end.
func (p *policy) why() string {
	at := uint32(must(p.call("verdict")))
	word := func(place uint32) uint32 {
		number, _ := p.module.Memory().ReadUint32Le(at + 4*place)
		return number
	}
	end := func(cause, by uint32) string {
		switch cause {
		case 4:
			return "granted: " + p.told.Grants[by].Reason
		case 3, 5, 6:
			verb := map[uint32]string{3: "allowed", 5: "denied", 6: "isolated"}[cause]
			return fmt.Sprintf("%s by %s:%d", verb, p.told.Rules[by].Path, p.told.Rules[by].Line)
		}
		return []string{"no pod", "a pod reaches itself", "not isolated"}[cause]
	}
	return fmt.Sprintf("egress %s, ingress %s", end(word(0)>>8&255, word(1)), end(word(0)>>16&255, word(2)))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	folder, ctx := os.Args[1], context.Background()
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)
	p := &policy{ctx: ctx, module: must(runtime.Instantiate(ctx, must(os.ReadFile(folder+"/policy.wasm"))))}
	if err := json.Unmarshal(must(os.ReadFile(folder+"/policy.rules.json")), &p.told); err != nil {
		log.Fatal(err)
	}
	if must(p.call("abi_version")) != 1 {
		log.Fatal("this host knows version 1 of the interface")
	}
	words := []string{"denied", "allowed", "told"}
	garden := map[string]any{"namespace": "garden", "labels": map[string]string{"app": "web"}}

	// One flow as text.
	verdict := p.hand("decide_text", map[string]any{"from": garden, "to": "zenquotes.io", "port": 443})
	fmt.Printf("%s: garden -> zenquotes.io:443, %s\n", words[verdict], p.why())

	// The same parties by numbers, which are found once.
	source, destination := p.hand("intern", garden), p.hand("intern", "evil.example")
	const https = 6<<16 | 443
	verdict = must(p.call("decide", uint64(source), uint64(destination), https, 0))
	fmt.Printf("%s: garden -> evil.example:443, %s\n", words[verdict], p.why())

	// What nobody interned is an error, and no verdict.
	_, err := p.call("decide", uint64(source), 12345, https, 0)
	fmt.Printf("a number that is none: %v\n", err)
}
