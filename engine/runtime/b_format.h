/* Between b_format.c (directives) and b_format_number.c (numbers as text). */
#ifndef B_FORMAT_H
#define B_FORMAT_H

#include "b_common.h"

typedef enum { B_ARG_INT, B_ARG_BIG, B_ARG_FLOAT, B_ARG_TEXT } b_arg_kind;

/* Flags, width and precision of one directive. */
typedef struct {
    bool sharp, zero, plus, minus, space;
    bool go_syntax; /* '#' of %#v */
    bool has_width, has_precision;
    int64_t width;
    int64_t precision;
} b_spec;

/* A number without its padding by blanks (by zeros it is padded here); 0 when Go has no such verb for it. */
rt_v b_format_integer(rt_v number, b_arg_kind kind, const b_spec *spec, uint32_t verb);
rt_v b_format_float(double value, const b_spec *spec, uint32_t verb);
/* A quoted text with everything beyond ASCII escaped. */
rt_v b_ascii_only(rt_v text);

#endif
