//! The whole engine from outside: the real binary, a real listener, a real receiver. One file, one
//! theme.


