//! What every program of Bisect Bot shares. No I/O.
