// Time of a chain of convolutions in oneDNN, one thread: layouts chosen by the library, bias and
// ReLU fused, picture in and out in rows.
// usage: onednn WIDTH HEIGHT f32|i8 KERNEL:PLANES ...
#include <dnnl.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <unordered_map>
#include <vector>

using namespace dnnl;
using Tag = memory::format_tag;
using Type = memory::data_type;

static double now()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

struct Step {
    primitive p;
    std::unordered_map<int, memory> args;
};

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const long width = atol(argv[1]), height = atol(argv[2]);
    const bool i8 = std::string(argv[3]) == "i8";
    engine eng(engine::kind::cpu, 0);
    stream s(eng);
    std::vector<Step> steps;
    memory::desc row({ 1, 1, height, width }, i8 ? Type::u8 : Type::f32, Tag::nchw);
    memory value(row, eng);
    long planes = 1;

    for (int i = 4; i < argc; i++) {
        long k, out;
        if (sscanf(argv[i], "%ld:%ld", &k, &out) != 2)
            return 2;
        const bool last = i == argc - 1;
        const Type in_type = i8 ? Type::u8 : Type::f32, out_type = last || !i8 ? Type::f32 : Type::u8;
        memory::desc src({ 1, planes, height, width }, in_type, Tag::any);
        memory::desc w({ out, planes, k, k }, i8 ? Type::s8 : Type::f32, Tag::any);
        memory::desc b({ out }, i8 ? Type::s32 : Type::f32, Tag::x);
        memory::desc dst({ 1, out, height, width }, out_type, Tag::any);
        primitive_attr attr;
        post_ops post;
        if (!last)
            post.append_eltwise(1.0f, algorithm::eltwise_relu, 0, 0);
        attr.set_post_ops(post);
        if (i8)
            attr.set_output_scales(0, { 0.01f });
        convolution_forward::primitive_desc pd({ prop_kind::forward_inference, algorithm::convolution_direct, src, w, b,
                                                 dst, { 1, 1 }, { k / 2, k / 2 }, { k / 2, k / 2 } }, attr, eng);
        memory in = value;
        if (pd.src_desc() != value.get_desc()) {
            in = memory(pd.src_desc(), eng);
            steps.push_back({ reorder(value, in), { { DNNL_ARG_FROM, value }, { DNNL_ARG_TO, in } } });
        }
        memory weights(pd.weights_desc(), eng), bias(b, eng), result(pd.dst_desc(), eng);
        steps.push_back({ convolution_forward(pd), { { DNNL_ARG_SRC, in }, { DNNL_ARG_WEIGHTS, weights },
                                                     { DNNL_ARG_BIAS, bias }, { DNNL_ARG_DST, result } } });
        value  = result;
        planes = out;
    }
    memory out(memory::desc({ 1, planes, height, width }, Type::f32, Tag::nchw), eng);
    steps.push_back({ reorder(value, out), { { DNNL_ARG_FROM, value }, { DNNL_ARG_TO, out } } });

    std::vector<double> t;
    for (int r = 0; r < 6; r++) {
        const double start = now();
        for (auto &step : steps)
            step.p.execute(s, step.args);
        s.wait();
        if (r)
            t.push_back(now() - start);
    }
    std::sort(t.begin(), t.end());
    printf("%.3f\n", t[t.size() / 2] * 1e3);
}
