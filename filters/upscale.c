#include <math.h>

#include "kernels.h"

/* Keys' cubic convolution kernel with a = -0.5 */
static double cubic(double x)
{
    x = fabs(x);
    return x <= 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

void fsr_upscaler_init(FsrUpscaler *u, int scale, int sub, int cosited)
{
    /* Sample j of a plane lies at luma position sub * j + d. Picture areas coincide, so luma
     * position X of the large picture is (X + 0.5) / scale - 0.5 of the small one. */
    const double d = sub == 1 || cosited ? 0 : 0.5;

    *u = (FsrUpscaler){ .scale = scale, .taps = 4 };
    for (int k = 0; k < scale; k++) {
        const double pos  = ((sub * k + d + 0.5) / scale - 0.5 - d) / sub;
        const int    base = (int)floor(pos);
        int sum = 0, largest = 0;

        u->first[k] = base - 1;
        for (int t = 0; t < 4; t++) {
            u->coef[k][t] = (int16_t)floor(cubic(pos - (base - 1 + t)) * 4096 + 0.5);
            sum += u->coef[k][t];
            if (u->coef[k][t] > u->coef[k][largest])
                largest = t;
        }
        u->coef[k][largest] += 4096 - sum;      /* a flat area stays flat */
    }
}

void fsr_upscaler_init_sharp(FsrUpscaler *u, int scale)
{
    /* the other phases are mirror images */
    static const int16_t half[3][2][FSR_TAPS] = {
        { { 86, -285, 773, 4345, -1199, 376 } },
        { { 144, -482, 1367, 3866, -1159, 360 }, { 208, -650, 4980, -650, 208, 0 } },
        { { 185, -606, 1700, 3594, -1138, 361 }, { -32, 76, -76, 4835, -1040, 333 } },
    };

    u->scale = scale;
    u->taps  = FSR_TAPS;
    for (int k = 0; k < scale; k++) {
        const int mirror = k >= (scale + 1) / 2;

        u->first[k] = 2 * k + 1 < scale ? -3 : -2;
        for (int t = 0; t < FSR_TAPS; t++)
            u->coef[k][t] = mirror ? half[scale - 2][scale - 1 - k][FSR_TAPS - 1 - t] : half[scale - 2][k][t];
    }
}
