// Update rules: what a step does to one element, its parameter p and its state, given its
// gradient g. The formulas and the order of their operations are those of
// minifer/updates/rules.py.
//
// update.cu applies them to a whole buffer, gemm_update.cu to a gradient that it has just
// computed and never stores.
#pragma once
#include "common.cuh"

// What all elements share, computed on the host in double. It lies on the device, where
// it may change from step to step though the launch is recorded once and for all.
#define NUMBERS 8

struct Numbers {
    real at[NUMBERS];
};

__device__ inline Numbers read_numbers(const double* numbers)
{
    Numbers c;
    for (int i = 0; i < NUMBERS; i++) c.at[i] = numbers[i];
    return c;
}

// Infinite or not a number: only then is x - x something else than 0.
__device__ inline bool is_wild(real x) { return !(x - x == 0); }

// Numbers: rate.
__device__ inline void sgd_rule(real& p, real g, const Numbers& c)
{
    p -= c.at[0] * g;
}

// Numbers: rate, mu.
__device__ inline void momentum_rule(real& p, real g, real& v, const Numbers& c)
{
    v = c.at[1] * v - c.at[0] * g;
    p += v;
}

__device__ inline void nesterov_momentum_rule(real& p, real g, real& v, const Numbers& c)
{
    real step = c.at[0] * g, mu = c.at[1];
    real velocity = mu * v - step;
    v = velocity;
    p = p + mu * velocity - step;
}

// Numbers: rate, epsilon.
__device__ inline void adagrad_rule(real& p, real g, real& squares, const Numbers& c)
{
    real a = squares + g * g;
    squares = a;
    p -= c.at[0] * g / sqrt(a + c.at[1]);
}

// Numbers: rate, rho, 1 - rho, epsilon.
__device__ inline void rmsprop_rule(real& p, real g, real& squares, const Numbers& c)
{
    real a = c.at[1] * squares + c.at[2] * g * g;
    squares = a;
    p -= c.at[0] * g / sqrt(a + c.at[3]);
}

__device__ inline void adadelta_rule(real& p, real g, real& squares, real& deltas,
                                     const Numbers& c)
{
    real rho = c.at[1], rest = c.at[2], epsilon = c.at[3];
    real a = rho * squares + rest * g * g;
    squares = a;
    real u = g * sqrt(deltas + epsilon) / sqrt(a + epsilon);
    p -= c.at[0] * u;
    deltas = rho * deltas + rest * u * u;
}

// Running means of g and g², as Adam and its relatives keep them.
// Numbers: rate, corrected for the first steps; beta1, 1 - beta1, beta2, 1 - beta2;
// epsilon; adamw's last is 1 - learning rate * weight decay.
__device__ inline void moments(real g, real& mean, real& squares, const Numbers& c)
{
    mean = c.at[1] * mean + c.at[2] * g;
    squares = c.at[3] * squares + c.at[4] * g * g;
}

__device__ inline void adam_rule(real& p, real g, real& mean, real& squares,
                                 const Numbers& c)
{
    moments(g, mean, squares, c);
    p -= c.at[0] * mean / (sqrt(squares) + c.at[5]);
}

__device__ inline void amsgrad_rule(real& p, real g, real& mean, real& squares,
                                    real& largest, const Numbers& c)
{
    moments(g, mean, squares, c);
    real v = squares;
    if (v > largest || v != v) largest = v;
    p -= c.at[0] * mean / (sqrt(largest) + c.at[5]);
}

// Numbers: rate, corrected; beta1, 1 - beta1, beta2, epsilon.
__device__ inline void adamax_rule(real& p, real g, real& mean, real& largest,
                                   const Numbers& c)
{
    real slope = g < 0 ? -g : g, faded = c.at[3] * largest;
    mean = c.at[1] * mean + c.at[2] * g;
    largest = faded >= slope || faded != faded ? faded : slope;
    p -= c.at[0] * mean / (largest + c.at[4]);
}

__device__ inline void adamw_rule(real& p, real g, real& mean, real& squares,
                                  const Numbers& c)
{
    moments(g, mean, squares, c);
    p = c.at[6] * p - c.at[0] * mean / (sqrt(squares) + c.at[5]);
}
