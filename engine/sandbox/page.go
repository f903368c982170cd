package sandbox

import (
	"embed"
	"net/http"
)

//go:embed page
var pageFiles embed.FS

// pageHandler serves the page for people, at / and its parts below /page/.
func pageHandler() http.Handler {
	files := http.FileServerFS(pageFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-cache")
		if r.URL.Path == "/" {
			http.ServeFileFS(w, r, pageFiles, "page/page.html")
			return
		}
		files.ServeHTTP(w, r)
	})
}
