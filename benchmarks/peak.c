/* The most multiply-adds that one core can do: independent chains in registers, nothing from memory.
   Prints "fp32 GFLOP/s" and, where the processor has it, "bf16 GFLOP/s" (vector dot products, two pairs a lane). */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define CHAINS 16
#define ROUNDS 20000000L

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __AVX512F__
typedef __m512 vector;
#define LANES 16
#define SET(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#else
typedef __m256 vector;
#define LANES 8
#define SET(x) _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#endif

int main(void) {
    float out[16], sum = 0;
    vector chain[CHAINS], a = SET(0.9999f), b = SET(1e-6f);
    for (int i = 0; i < CHAINS; i++) chain[i] = SET((float)i);
    double begun = seconds();
    for (long round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) chain[i] = FMA(chain[i], a, b);
    }
    double taken = seconds() - begun;
    for (int i = 0; i < CHAINS; i++) { STORE(out, chain[i]); sum += out[0]; }
    printf("fp32 %.1f\n", 2.0 * LANES * CHAINS * (double)ROUNDS / taken / 1e9);
#ifdef __AVX512BF16__
    __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
    __m512 total[CHAINS];
    for (int i = 0; i < CHAINS; i++) total[i] = _mm512_set1_ps((float)i);
    begun = seconds();
    for (long round = 0; round < ROUNDS / 2; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) total[i] = _mm512_dpbf16_ps(total[i], x, x);
    }
    taken = seconds() - begun;
    for (int i = 0; i < CHAINS; i++) { _mm512_storeu_ps(out, total[i]); sum += out[0]; }
    printf("bf16 %.1f\n", 4.0 * 16 * CHAINS * (double)(ROUNDS / 2) / taken / 1e9);
#endif
    return sum == 42.0f;
}
