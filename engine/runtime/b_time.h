/* What the two files of time.* share. */
#ifndef B_TIME_H
#define B_TIME_H

#include "b_common.h"

/* Seconds from 1970 in UTC to midnight of a date of the Gregorian calendar; month from 1 to 12, any day. In 64 bits without
 * a sign, as Go counts: dates that do not fit come out somewhere else, and at the same place as there. */
uint64_t b_midnight(uint64_t year, uint32_t month, int64_t day);

/* The nanosecond of an instant into `out`; false when it does not fit into 64 bits. */
bool b_nanoseconds(uint64_t seconds, int64_t nanosecond, int64_t *out);

#endif
