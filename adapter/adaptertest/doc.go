// Package adaptertest proves adapters: [Run] is the suite that every back-end
// must pass, and [Bus] connects several nodes within one process, for this and
// for other tests of clusters.
package adaptertest
