// Time of a network in ONNX Runtime, one thread, all optimizations.
// usage: onnxruntime MODEL.onnx WIDTH HEIGHT [PLANES]
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

static double now()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const int64_t shape[4] = { 1, argc > 4 ? atol(argv[4]) : 1, atol(argv[3]), atol(argv[2]) };
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR);
    Ort::SessionOptions o;
    o.SetIntraOpNumThreads(1);
    o.SetInterOpNumThreads(1);
    o.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    Ort::Session session(env, argv[1], o);
    Ort::AllocatorWithDefaultOptions a;
    auto in = session.GetInputNameAllocated(0, a), out = session.GetOutputNameAllocated(0, a);
    const char *ins[] = { in.get() }, *outs[] = { out.get() };
    std::vector<float> picture(shape[1] * shape[2] * shape[3], 0.5f);
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto value = Ort::Value::CreateTensor<float>(memory, picture.data(), picture.size(), shape, 4);
    std::vector<double> t;

    for (int r = 0; r < 6; r++) {
        const double start = now();
        session.Run(Ort::RunOptions{ nullptr }, ins, &value, 1, outs, 1);
        if (r)
            t.push_back(now() - start);
    }
    std::sort(t.begin(), t.end());
    printf("%.3f\n", t[t.size() / 2] * 1e3);
}
