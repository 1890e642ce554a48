package topology_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"outpost/shared/topology"
)

// root is the module's root, seen from this package.
const root = "../.."

// domain lists the packages that know nothing of AWS or of any adapter: they
// import one another, the standard library and nothing else of ours.
var domain = []string{
	"agent", "apikey", "audit", "billing", "clock", "fairshare", "id", "ledger", "plan",
	"problem", "prompt", "redact", "runner", "task", "tenant", "token", "topology",
}

// file is a Go file with what it imports.
type file struct {
	dir     string // slash-separated, from the module's root
	name    string
	imports []string
}

func (f file) String() string { return path.Join(f.dir, f.name) }
func (f file) test() bool     { return strings.HasSuffix(f.name, "_test.go") }

func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "build" || (strings.HasPrefix(d.Name(), ".") && p != root)) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := file{dir: path.Dir(filepath.ToSlash(rel)), name: d.Name()}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(files))
	}
	return files
}

func TestDomainPackagesImportNoAdapter(t *testing.T) {
	for _, f := range goFiles(t) {
		noun, ok := strings.CutPrefix(f.dir, "shared/")
		if !ok || f.test() || !slices.Contains(domain, noun) {
			continue
		}
		for _, imp := range f.imports {
			if strings.Contains(imp, "aws") || strings.Contains(imp, "guregu") {
				t.Errorf("%s imports %s: domain packages know nothing of AWS", f, imp)
			}
			if ours, ok := strings.CutPrefix(imp, "outpost/"); ok && !slices.Contains(domain, strings.TrimPrefix(ours, "shared/")) {
				t.Errorf("%s imports %s, which is no domain package", f, imp)
			}
		}
	}
}

func TestEachDependencyHasItsOnlyPlace(t *testing.T) {
	places := map[string]string{
		"github.com/guregu/dynamo":   "shared/table",
		"github.com/aws/aws-cdk-go":  "infra/aws",
		"github.com/versity/":        "infra/local",
		"github.com/alecthomas/kong": "cmd/outpost",
	}
	for _, f := range goFiles(t) {
		for _, imp := range f.imports {
			for dep, place := range places {
				if strings.HasPrefix(imp, dep) && f.dir != place && !strings.HasPrefix(f.dir, place+"/") {
					t.Errorf("%s imports %s, which belongs to %s alone", f, imp, place)
				}
			}
		}
	}
}

func TestFunctionsNeverImportEachOther(t *testing.T) {
	for _, f := range goFiles(t) {
		if !strings.HasPrefix(f.dir, "functions/") {
			continue
		}
		own := f.dir
		for _, fn := range append(topology.Functions, topology.Function{Name: "worker"}) {
			if dir := "functions/" + fn.Name; f.dir == dir || strings.HasPrefix(f.dir, dir+"/") {
				own = dir
			}
		}
		for _, imp := range f.imports {
			if strings.HasPrefix(imp, "outpost/functions/") && imp != "outpost/"+own && !strings.HasPrefix(imp, "outpost/"+own+"/") {
				t.Errorf("%s imports %s: functions never import each other", f, imp)
			}
			if strings.HasPrefix(imp, "outpost/infra/") && !f.test() {
				t.Errorf("%s imports %s: production code does not know where it runs", f, imp)
			}
		}
	}
}

func TestSharedImportsNoFunctionAndNoInfra(t *testing.T) {
	for _, f := range goFiles(t) {
		if !strings.HasPrefix(f.dir, "shared/") || f.test() {
			continue
		}
		for _, imp := range f.imports {
			if strings.HasPrefix(imp, "outpost/functions/") || (strings.HasPrefix(imp, "outpost/infra/") && !strings.HasSuffix(f.dir, "/conformance")) {
				t.Errorf("%s imports %s: shared is below functions and infra", f, imp)
			}
		}
	}
}

func TestNoPackageIsADrawer(t *testing.T) {
	drawers := []string{"common", "util", "utils", "helpers", "types", "models", "handlers", "misc", "base"}
	for _, f := range goFiles(t) {
		if slices.Contains(drawers, path.Base(f.dir)) {
			t.Errorf("%s: a package's name says what is in it", f)
		}
	}
}

func TestEveryFunctionIsInTheTopologyAndOnDisk(t *testing.T) {
	onDisk := map[string]bool{}
	for _, f := range goFiles(t) {
		if name, ok := strings.CutPrefix(f.dir, "functions/"); ok && f.name == "main.go" {
			onDisk[name] = true
		}
	}
	for _, fn := range topology.Functions {
		if !onDisk[fn.Name] {
			t.Errorf("%s is in the topology and has no functions/%s/main.go", fn.Name, fn.Name)
		}
		for _, want := range []string{"handler.go", "handler_test.go"} {
			if _, err := os.Stat(filepath.Join(root, "functions", filepath.FromSlash(fn.Name), want)); err != nil {
				t.Errorf("functions/%s has no %s", fn.Name, want)
			}
		}
		delete(onDisk, fn.Name)
	}
	delete(onDisk, "worker")
	for name := range onDisk {
		t.Errorf("functions/%s is not in the topology: it does not exist", name)
	}
}
