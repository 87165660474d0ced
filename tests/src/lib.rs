//! The course's tests as one registry, and the lab's command line.
