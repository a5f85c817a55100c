// Package contain is the inside of a container: the same binary, started again as the first
// process of the container's namespaces.
//
// It builds the container's view of the files, drops privileges, starts the command, reaps
// orphans and serves the node's requests (exec, signal) over a socket. When the node dies the
// socket closes and the container ends with it.
//
// Law: only the standard library, and of it only packages that are initialised early. Go runs the
// init functions of packages in the order of their names, once what they import is ready. The
// module's name sorts before those of the Kubernetes packages, so a container starts without the
// 0.1 s and 40 MB that their initialisation takes. path/filepath is out: it comes after them.
package contain
