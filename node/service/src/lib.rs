//! Owns every task, timer and shutdown; the only place where outputs become deeds.
