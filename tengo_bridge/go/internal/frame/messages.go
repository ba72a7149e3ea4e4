package frame

// ReadyMeta is the meta data of a Ready frame.
type ReadyMeta struct {
	ABI       int      `json:"abi"`
	Languages []string `json:"languages"`
	Modules   []string `json:"modules"`
}

// ConfigureMeta is the meta data of a Configure frame; what is not set keeps the default.
type ConfigureMeta struct {
	MaxStringBytes     *int   `json:"max_string_bytes"`
	MaxAllocations     *int64 `json:"max_allocations"`
	MaxLogLines        *int   `json:"max_log_lines"`
	MaxLogBytes        *int   `json:"max_log_bytes"`
	MaxAnswerBytes     *int   `json:"max_answer_bytes"`
	MaxHTTPAnswerBytes *int   `json:"max_http_answer_bytes"`
	MaxHTTPRedirects   *int   `json:"max_http_redirects"`
	MaxHTTPCalls       *int   `json:"max_http_calls"`
	MaxHTTPParallel    *int   `json:"max_http_parallel"`
	MaxElements        *int   `json:"max_elements"`
	MaxSourceBytes     *int   `json:"max_source_bytes"`
	MaxNesting         *int   `json:"max_nesting"`
	MaxModules         *int   `json:"max_modules"`
	MaxImportDepth     *int   `json:"max_import_depth"`
	MemoryBytes        *int64 `json:"memory_bytes"`
	Egress             Egress `json:"egress"`
}

// Egress says where the programs of an executor may call over HTTP. Empty lists of what is allowed stand for every host,
// every port, and the public networks.
type Egress struct {
	Allow EgressRules `json:"allow"`
	Deny  EgressRules `json:"deny"`
	// Proxy says that the proxy variables of the executor's environment count.
	Proxy bool `json:"proxy"`
	// CertificatesPEM holds authorities to trust besides those of the machine.
	CertificatesPEM string `json:"certificates_pem"`
}

// EgressRules are lists of patterns: "api.example.org", "*.example.org" or "*"; "public", "private", "loopback" or a
// network such as "10.0.0.0/8"; pairs of the first and the last port.
type EgressRules struct {
	Hosts    []string `json:"hosts"`
	Networks []string `json:"networks"`
	Ports    [][2]int `json:"ports"`
}

// CompileMeta is the meta data of a Compile frame. Its body holds the sources one after another.
type CompileMeta struct {
	Key         string         `json:"key"`
	Language    string         `json:"language"`
	File        string         `json:"file"`
	SourceBytes int            `json:"source_bytes"`
	Modules     []ModuleSource `json:"modules"`
}

// ModuleSource tells how long the source of a module is.
type ModuleSource struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// CompiledMeta is the meta data of a Compiled frame.
type CompiledMeta struct {
	Modules []string `json:"modules"`
	// Bytes is about how much memory the compiled program takes.
	Bytes int64 `json:"bytes"`
}

// NeedsMeta is the meta data of a Needs frame.
type NeedsMeta struct {
	Modules []NeededModule `json:"modules"`
}

// NeededModule is a module that was not supplied, the first place that imports it, and, innermost first, the places that
// import the file of that place.
type NeededModule struct {
	Name string   `json:"name"`
	At   string   `json:"at"`
	Via  []string `json:"via"`
}

// RefusedMeta is the meta data of a Refused frame.
type RefusedMeta struct {
	Error Failure `json:"error"`
}

// ForgetMeta is the meta data of a Forget frame.
type ForgetMeta struct {
	Key string `json:"key"`
}

// RunMeta is the meta data of a Run frame.
type RunMeta struct {
	Key        string   `json:"key"`
	DeadlineMS int64    `json:"deadline_ms"`
	Request    *Request `json:"request"`
}

// Request is the HTTP request that a webhook answers.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   string            `json:"query"`
	Remote  string            `json:"remote"`
	Headers map[string]string `json:"headers"`
}

// LogMeta is the meta data of a Log frame.
type LogMeta struct {
	Level   string `json:"level"`
	Message string `json:"message"`
	AtMS    int64  `json:"at_ms"`
}

// DoneMeta is the meta data of a Done frame.
type DoneMeta struct {
	Outcome   string    `json:"outcome"`
	ElapsedUS int64     `json:"elapsed_us"`
	Error     *Failure  `json:"error,omitempty"`
	Response  *Response `json:"response,omitempty"`
}

// Failure tells why a compile or a run did not end well: the places are "file:line:column", innermost first.
type Failure struct {
	Kind    string   `json:"kind"`
	Message string   `json:"message"`
	Stack   []string `json:"stack"`
}

// Response is what a webhook answers, but for the body.
type Response struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
}

// PongMeta is the meta data of a Pong frame.
type PongMeta struct {
	Runs       int   `json:"runs"`
	Goroutines int   `json:"goroutines"`
	HeapBytes  int64 `json:"heap_bytes"`
}
