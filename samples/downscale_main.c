/* fsr_downscale: command line of downscale.c, y4m in, y4m out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "samples/downscale.h"

static const char help[] =
    "Usage: fsr_downscale FACTOR [IN [OUT]]\n"
    "\n"
    "Makes a y4m video 2, 3 or 4 times smaller as MATLAB's imresize does: cubic convolution with\n"
    "a = -0.5, antialiased (widened by the factor), symmetric borders. Computed exactly and rounded\n"
    "half up once. Gray, 4:2:0, 4:2:2, 4:4:4, 8 or 10 bit; chroma keeps the siting of the header.\n"
    "The size must be a multiple of FACTOR (with subsampled chroma of 2 * FACTOR): crop first, for\n"
    "example ffmpeg -i FILE -vf 'crop=iw-mod(iw\\,4):ih-mod(ih\\,4):0:0' -f yuv4mpegpipe -\n"
    "IN and OUT default to -, standard input and output. Exit status: 0 done, 1 error.\n";

static int check_size(const FsrY4mFormat *f, int factor)
{
    int mx = factor << (f->planes == 3 ? f->shift_x : 0), my = factor << (f->planes == 3 ? f->shift_y : 0);

    if (f->width % mx == 0 && f->height % my == 0)
        return 0;
    fprintf(stderr, "fsr_downscale: %dx%d is not a multiple of %dx%d: crop it to %dx%d first\n", f->width, f->height,
            mx, my, f->width / mx * mx, f->height / my * my);
    return -EINVAL;
}

static int run(FsrY4m *in, FsrY4m *out, int factor, const char *out_path)
{
    FsrY4mFormat f = in->fmt;
    uint16_t *src[3] = { 0 }, *dst[3] = { 0 };
    int64_t *scratch = calloc(f.width, sizeof(*scratch));
    int ret = check_size(&f, factor);

    f.width /= factor;
    f.height /= factor;
    if (ret >= 0 && (!scratch || fsr_y4m_alloc(&in->fmt, src) < 0 || fsr_y4m_alloc(&f, dst) < 0)) {
        fprintf(stderr, "fsr_downscale: out of memory\n");
        ret = -ENOMEM;
    }
    if (ret >= 0 && (ret = fsr_y4m_create(out, out_path, &f)) < 0)
        fprintf(stderr, "fsr_downscale: %s\n", out->error);
    while (ret >= 0 && (ret = fsr_y4m_read(in, src)) != 0) {
        if (ret < 0) {
            fprintf(stderr, "fsr_downscale: %s\n", in->error);
            break;
        }
        fsr_downscale_frame(&in->fmt, factor, src, dst, scratch);
        if ((ret = fsr_y4m_write(out, (const uint16_t *const *)dst)) < 0)
            fprintf(stderr, "fsr_downscale: %s\n", out->error);
    }
    free(src[0]);
    free(dst[0]);
    free(scratch);
    return ret;
}

int main(int argc, char **argv)
{
    int factor = argc > 1 ? atoi(argv[1]) : 0;
    FsrY4m in, out = { 0 };
    int ret;

    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    if (argc < 2 || argc > 4 || factor < 2 || factor > 4 || argv[1][1]) {
        fprintf(stderr, "fsr_downscale: the factor must be 2, 3 or 4 (see fsr_downscale --help)\n");
        return 1;
    }
    ret = fsr_y4m_open(&in, argc > 2 ? argv[2] : "-");
    if (ret < 0)
        fprintf(stderr, "fsr_downscale: %s\n", in.error);
    else
        ret = run(&in, &out, factor, argc > 3 ? argv[3] : "-");
    if (fsr_y4m_close(&out, ret == 0) < 0 && ret == 0) {
        fprintf(stderr, "fsr_downscale: %s\n", out.error);
        ret = -EIO;
    }
    fsr_y4m_close(&in, 0);
    return ret < 0;
}
