/*
 * y = a * x + y, with the vectors sent through the memory of the first CUDA device, if there is one.
 *
 * A kernel would have to be compiled by nvcc, which the wheels of this example do not hold. The program therefore
 * computes on the CPU. What the example needs is that it calls libcudart, and that it runs without a device too.
 */
#include <cuda_runtime_api.h>
#include <stdio.h>

#define LENGTH 1024

static float x[LENGTH], y[LENGTH];

/* Copies a vector to the device and back again, so that a device that is there is really used. */
static cudaError_t round_trip(float *vector)
{
    const size_t size = LENGTH * sizeof *vector;
    void *device = NULL;
    cudaError_t error = cudaMalloc(&device, size);

    if (error == cudaSuccess)
        error = cudaMemcpy(device, vector, size, cudaMemcpyHostToDevice);
    if (error == cudaSuccess)
        error = cudaMemcpy(vector, device, size, cudaMemcpyDeviceToHost);
    if (device != NULL)
        cudaFree(device);
    return error;
}

int main(void)
{
    const float a = 2.0f;
    float largest = 0.0f;
    int devices = 0;
    int version = 0;

    for (int i = 0; i < LENGTH; i++) {
        x[i] = (float)i;
        y[i] = 1.0f;
    }

    /* Without a driver this call fails. For us that is the same as a driver without a device. */
    if (cudaGetDeviceCount(&devices) != cudaSuccess)
        devices = 0;
    cudaRuntimeGetVersion(&version);
    printf("CUDA runtime %d.%d, %d devices\n", version / 1000, version % 1000 / 10, devices);

    if (devices > 0) {
        cudaError_t error = round_trip(x);

        if (error == cudaSuccess)
            error = round_trip(y);
        if (error != cudaSuccess) {
            fprintf(stderr, "saxpy: %s\n", cudaGetErrorString(error));
            return 1;
        }
    }

    for (int i = 0; i < LENGTH; i++) {
        y[i] += a * x[i];
        if (y[i] > largest)
            largest = y[i];
    }
    printf("saxpy: the largest of %d results is %.0f\n", LENGTH, largest);
    return 0;
}
