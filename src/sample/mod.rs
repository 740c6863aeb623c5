//! The maker of dump sets: deterministic, of any size, with the real dumps' proportions.
