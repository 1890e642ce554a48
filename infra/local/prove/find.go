package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
)

// proof is a test of a promise, as its source tells.
type proof struct {
	Package string // from the module's root: shared/table
	Test    string
	Says    string // its comment, in one line
}

// parts are the folders in which proofs lie.
var parts = []string{"shared", "functions", "infra/local", "cmd"}

// find reads every test file for proofs, in the order of their packages.
func find(root string) (all []proof, err error) {
	for _, part := range parts {
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(part)), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata") {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "TestGuarantee") {
					says := strings.Join(strings.Fields(f.Doc.Text()), " ")
					if rest, ok := strings.CutPrefix(says, f.Name.Name+" "); ok {
						says = "It " + rest
					}
					all = append(all, proof{filepath.ToSlash(rel), f.Name.Name, says})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
