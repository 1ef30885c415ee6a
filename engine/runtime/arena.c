/* Memory: a bump allocator over linear memory, and the copy functions that the compiler expects.
 *
 * Nothing is ever freed on its own; the whole memory goes with the instance. It must not hand out memory without a size
 * check, and must not return 0: when the host refuses to grow, the evaluation ends with eval_limit_memory.
 */
#include "rt.h"

RT_EXPORT void *opa_malloc(size_t size);
RT_EXPORT void opa_free(void *block);
RT_EXPORT void *opa_heap_ptr_get(void);
RT_EXPORT void opa_heap_ptr_set(void *at);
RT_EXPORT void opa_heap_blocks_stash(void);
RT_EXPORT void opa_heap_blocks_restore(void);
RT_EXPORT void opa_heap_stash_clear(void);

uint32_t rt_heap_resets;

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;
typedef uint32_t __attribute__((may_alias, aligned(1))) word32;

/* A call of memory.copy leaves compiled code; below this size a loop is faster. */
#define BULK 128

void *memcpy(void *to, const void *from, size_t n) {
    char *d = to;
    const char *s = from;
    if (n >= 8) {
#ifdef __wasm__
        if (n >= BULK) {
            __builtin_memcpy(d, s, n);
            return to;
        }
#endif
        size_t i = 0;
        for (; i + 8 <= n; i += 8) *(word64 *)(d + i) = *(const word64 *)(s + i);
        *(word64 *)(d + n - 8) = *(const word64 *)(s + n - 8);
    } else if (n >= 4) {
        uint32_t head = *(const word32 *)s, tail = *(const word32 *)(s + n - 4);
        *(word32 *)d = head;
        *(word32 *)(d + n - 4) = tail;
    } else if (n) {
        char a = s[0], b = s[n / 2], c = s[n - 1];
        d[0] = a;
        d[n / 2] = b;
        d[n - 1] = c;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
#ifdef __wasm__
    return __builtin_memmove(to, from, n);
#else
    char *d = to;
    const char *s = from;
    if ((uintptr_t)d < (uintptr_t)s) {
        for (size_t i = 0; i < n; i++) d[i] = s[i];
    } else {
        for (size_t i = n; i > 0; i--) d[i - 1] = s[i - 1];
    }
    return to;
#endif
}

void *memset(void *to, int byte, size_t n) {
#ifdef __wasm__
    return __builtin_memset(to, byte, n);
#else
    volatile char *d = to; /* volatile, or the compiler turns this loop into a call of memset */
    for (size_t i = 0; i < n; i++) d[i] = (char)byte;
    return to;
#endif
}

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *x = a, *y = b;
    size_t i = 0;
    while (i + 8 <= n && *(const word64 *)(x + i) == *(const word64 *)(y + i)) i += 8;
    for (; i < n; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

RT_COLD static _Noreturn void out_of_memory(void) {
    rt_abort(RT_ERR_MEMORY, "the evaluation needs more memory than it may use");
}

#ifdef __wasm__

extern char __heap_base;

static char *heap;     /* next free byte; 0 before the first use */
static char *heap_end; /* end of linear memory as far as we know */

#define PAGE ((size_t)65536)
#define GROW_PAGES ((size_t)16)

RT_COLD static void heap_open(void) {
    heap = rt_heap_start ? rt_heap_start : &__heap_base;
    heap = (char *)(((uintptr_t)heap + 7) & ~(uintptr_t)7);
    heap_end = (char *)(__builtin_wasm_memory_size(0) * PAGE);
    if (heap_end == 0 && __builtin_wasm_memory_size(0) != 0) heap_end = (char *)(UINTPTR_MAX & ~(uintptr_t)7);
}

/* Makes room for `size` bytes (a multiple of 8) at `heap`. */
RT_COLD static void heap_grow(size_t size) {
    if (!heap) heap_open();
    uintptr_t at = (uintptr_t)heap;
    if (size > UINTPTR_MAX - at - PAGE) out_of_memory();
    if (at + size <= (uintptr_t)heap_end) return;
    size_t pages = (at + size - (uintptr_t)heap_end + PAGE - 1) / PAGE;
    size_t want = pages < GROW_PAGES ? GROW_PAGES : pages;
    if (__builtin_wasm_memory_grow(0, want) == SIZE_MAX) {
        want = pages;
        if (__builtin_wasm_memory_grow(0, want) == SIZE_MAX) out_of_memory();
    }
    heap_end = (char *)(__builtin_wasm_memory_size(0) * PAGE);
    if (heap_end == 0) heap_end = (char *)(UINTPTR_MAX & ~(uintptr_t)7);
}

void *rt_alloc(size_t size) {
    if (RT_UNLIKELY(size > SIZE_MAX - 7)) out_of_memory();
    size = (size + 7) & ~(size_t)7;
    if (RT_UNLIKELY((size_t)(heap_end - heap) < size || !heap)) heap_grow(size);
    char *block = heap;
    heap += size;
    return block;
}

void *rt_realloc(void *block, size_t old_size, size_t new_size) {
    if (new_size <= old_size) return block;
    size_t old = (old_size + 7) & ~(size_t)7;
    if ((char *)block + old == heap) {
        if (RT_UNLIKELY(new_size > SIZE_MAX - 7)) out_of_memory();
        rt_alloc(((new_size + 7) & ~(size_t)7) - old);
        return block;
    }
    void *copy = rt_alloc(new_size);
    memcpy(copy, block, old_size);
    return copy;
}

void *rt_mark(void) {
    if (!heap) heap_open();
    return heap;
}

void rt_release(void *mark) { heap = mark; }

void *opa_heap_ptr_get(void) { return rt_mark(); }

void opa_heap_ptr_set(void *at) {
    if (!heap) heap_open();
    rt_heap_resets++;
    heap = (char *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
}

#else /* native: each block on its own, so that the sanitizers see every overrun */

void *rt_native_alloc(size_t size);

void *rt_alloc(size_t size) {
    void *block = size > SIZE_MAX / 2 ? 0 : rt_native_alloc(size);
    if (!block) out_of_memory();
    return block;
}

void *rt_realloc(void *block, size_t old_size, size_t new_size) {
    if (new_size <= old_size) return block;
    void *copy = rt_alloc(new_size);
    memcpy(copy, block, old_size);
    return copy;
}

void *rt_mark(void) { return 0; }
void rt_release(void *mark) { (void)mark; }
void *opa_heap_ptr_get(void) { return 0; }
void opa_heap_ptr_set(void *at) {
    (void)at;
    rt_heap_resets++;
}

#endif

void *rt_alloc_array(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory();
    return rt_alloc(bytes);
}

void *opa_malloc(size_t size) { return rt_alloc(size); }
void opa_free(void *block) { (void)block; }
/* A bump allocator keeps no free blocks, so there is nothing to put aside. */
void opa_heap_blocks_stash(void) {}
void opa_heap_blocks_restore(void) {}
void opa_heap_stash_clear(void) {}
