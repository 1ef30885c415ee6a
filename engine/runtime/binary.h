/* Binary floating point with a 64-bit mantissa: the arithmetic that OPA's big.Float does on numbers that are no integers. */
#ifndef RT_BINARY_H
#define RT_BINARY_H

#include "rt.h"

/* mantissa * 2^exponent; the mantissa has its top bit set, or is 0 for zero. */
typedef struct {
    bool negative;
    uint64_t mantissa;
    int64_t exponent;
} binary;

/* Nearest, ties to even. Numbers outside 10^±20000 end the evaluation with eval_builtin_error. */
binary binary_from_num(const rt_value *number);
/* a * 2^exponent rounded to `bits` bits (at most 64); `sticky`: the true value is a little larger in magnitude. */
binary binary_round(const rt_big *a, int64_t exponent, bool sticky, size_t bits);
/* Shortest text that reads back as the same value: 'f' for integers, else 'g'. */
rt_v binary_to_num(binary value);
/* Digits (at most 24) of the shortest decimal that is nearest to a value of `bits` bits; `narrow`: the neighbour below is only half as
 * far away as the one above. */
size_t binary_digits(binary value, size_t bits, bool narrow, char *digits, int64_t *point);
/* Text of a decimal in Go's form: integers plain, others as 'g' (exponent from 1e-5 down and above 6 digits up). */
rt_v decimal_to_num(bool negative, const char *digits, size_t count, int64_t point);

#endif
