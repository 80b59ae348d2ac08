/* What vec256.h and vec512.h have in common, written with V(op): an instruction's name for their vectors. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

#define v_load(p)     V(loadu_ps)(p)
#define v_store(p, v) V(storeu_ps)(p, v)
#define v_add(a, b)   V(add_ps)(a, b)
#define v_mul(a, b)   V(mul_ps)(a, b)
#define v_min(a, b)   V(min_ps)(a, b)
#define v_max(a, b)   V(max_ps)(a, b)
#define v_zero()      V(setzero_ps)()
